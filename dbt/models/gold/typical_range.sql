-- Grain: one row per laboratory measure and sex (none: either) for which a usual range of adults is known.
{{ config(materialized='ephemeral') }}

-- In the unit of the measure (dbt/units/measures.csv). Only for results that carry no range of their own:
-- the laboratory's range always goes first. After the Laboratory Test Reference Ranges of the American
-- Board of Internal Medicine (adults; an end that is not given there is open).
select *
from (
    values
    ('alanine_aminotransferase', null, 10, 40),
    ('albumin', null, 3.5, 5.5),
    ('alkaline_phosphatase', null, 30, 120),
    ('aspartate_aminotransferase', null, 10, 40),
    ('bicarbonate', null, 23, 28),
    ('bilirubin', null, 0.3, 1.0),
    ('c_reactive_protein', null, null, 8.0),
    ('calcium', null, 8.6, 10.2),
    ('carbon_dioxide', null, 23, 30),
    ('chloride', null, 98, 106),
    ('creatinine', 'female', 0.5, 1.1),
    ('creatinine', 'male', 0.7, 1.3),
    ('ferritin', 'female', 11, 307),
    ('ferritin', 'male', 24, 336),
    ('glucose', null, 70, 99),
    ('hdl_cholesterol', null, 40, null),
    ('hematocrit', 'female', 37, 47),
    ('hematocrit', 'male', 42, 50),
    ('hemoglobin', 'female', 12, 16),
    ('hemoglobin', 'male', 14, 18),
    ('hemoglobin_a1c', null, 4.0, 5.6),
    ('iron', null, 50, 150),
    ('lactate_dehydrogenase', null, 80, 225),
    ('ldl_cholesterol', null, null, 130),
    ('leukocytes', null, 4.0, 11.0),
    ('magnesium', null, 1.6, 2.6),
    ('mean_corpuscular_volume', null, 80, 98),
    ('platelets', null, 150, 450),
    ('potassium', null, 3.5, 5.0),
    ('sodium', null, 136, 145),
    ('thyrotropin', null, 0.5, 4.0),
    ('total_cholesterol', null, null, 200),
    ('total_protein', null, 5.5, 9.0),
    ('triglycerides', null, null, 150),
    ('urea_nitrogen', null, 8, 20),
    ('uric_acid', null, 3.0, 7.0)
) as typical (measure, sex, low, high)
