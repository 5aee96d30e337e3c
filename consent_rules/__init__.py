"""What may be kept, decided purely: rules are TOML files, the code is small."""
