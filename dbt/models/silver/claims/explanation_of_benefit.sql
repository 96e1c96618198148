{{ silver_table('explanation_of_benefit') }}
