{{ silver_table('immunization') }}
