"""What steps are written against: their spec, their context, typed exits, checked lake reads."""
