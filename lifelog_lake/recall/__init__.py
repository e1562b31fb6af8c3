"""Reading the lake: timeline, search, joins. Readers scan by URL, never by a held handle."""
