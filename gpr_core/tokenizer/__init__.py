"""From item vectors to semantic ids: quantizers, their quality, their versions."""
