"""What a command says of a user's mistake; it loads nothing, so that a parser can know it."""


class UserError(Exception):
    """One line that names the fault and what to type."""
