{{ silver_table('specimen') }}
