"""From raw items (texts, attributes, pictures) to vectors in one space for ads and content."""
