"""The wire: translates between protobuf and the domain, and holds no logic."""
