"""From a drop in the inbox to Bronze: intake registers and stages, landing reads and writes."""
