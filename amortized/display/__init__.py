"""How results look in a notebook: a few pieces of HTML that the records share with the report's page."""
