"""What makes and keeps an installation: secrets, databases and roles, buckets and users, embedded Postgres, backup."""
