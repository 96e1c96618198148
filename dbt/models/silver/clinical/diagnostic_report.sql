{{ silver_table('diagnostic_report') }}
