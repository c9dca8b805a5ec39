"""Pages of one file that show a command's document, and what every such page is made of."""
