{{ silver_table('claim') }}
