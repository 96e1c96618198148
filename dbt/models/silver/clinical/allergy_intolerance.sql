{{ silver_table('allergy_intolerance') }}
