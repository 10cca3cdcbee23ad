"""Salts on the command line."""

import click

from unlearn_client.erasures import SALT_BYTES


class _Salt(click.ParamType[bytes]):
    """32 bytes in hexadecimal."""

    name = "hex"

    def convert(
        self, value: str | bytes, param: click.Parameter | None, ctx: click.Context | None
    ) -> bytes:
        """Reads them.

        Raises:
            click.BadParameter: it is something else.
        """
        if isinstance(value, bytes):
            return value
        try:
            salt = bytes.fromhex(value)
        except ValueError:
            salt = b""
        if len(salt) != SALT_BYTES:
            self.fail(f"must be {2 * SALT_BYTES} hexadecimal digits", param, ctx)
        return salt


SALT = _Salt()
