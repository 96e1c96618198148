{{ silver_table('device') }}
