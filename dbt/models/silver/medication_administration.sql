{{ silver_table('medication_administration') }}
