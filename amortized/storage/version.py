"""The version of the library, which files carry."""

VERSION = "0.1.0"
