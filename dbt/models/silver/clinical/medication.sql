{{ silver_table('medication') }}
