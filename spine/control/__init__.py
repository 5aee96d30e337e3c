"""What is decided about people, on the control log: withdrawals, and marks of the erased."""
