"""The step `simulator_snapshot`: freeze a simulator of today's system."""
