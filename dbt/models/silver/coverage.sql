{{ silver_table('coverage') }}
