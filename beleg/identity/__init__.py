"""`beleg identity`: who is one person, and the files of a CRM."""
