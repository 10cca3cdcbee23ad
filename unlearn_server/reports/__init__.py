"""Reports on a period: what was asked, what was done and when, and how anyone can check it.

``collecting`` reads the ledger once into a ``Report``. Three forms of it say the same:
``as_json`` for programs, ``as_html`` and ``as_pdf`` for people, both from ``sections``.
"""
