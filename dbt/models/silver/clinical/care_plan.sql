{{ silver_table('care_plan') }}
