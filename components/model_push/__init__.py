"""Step 8: publish an accepted policy and make it the champion."""
