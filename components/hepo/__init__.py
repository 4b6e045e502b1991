"""The step `hepo`: improve the policy in the simulator."""
