"""What is installed here for which role, what hardware and tools are found, and what installs the rest."""
