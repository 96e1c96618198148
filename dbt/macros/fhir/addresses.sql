{#-
    The one address (of a list of Addresses, JSON[]) that says where somebody lives: all of city, state
    and postal code come from it. Chosen on the day that the record arrived: one that is in force before
    one that is over (`use` old, or a period that has ended) or has not begun; then by use: home, none
    said, work, temp, billing; a place before a mailing address; the latest start; the first.
    https://hl7.org/fhir/R4/datatypes.html#Address
-#}
{% macro current_address(addresses, arrived_on) -%}
    list_sort(
        list_transform(
            list_transform(
                {{ addresses }},
                lambda address: from_json(
                    address,
                    '{"use":"VARCHAR","type":"VARCHAR","city":"VARCHAR","state":"VARCHAR","postalCode":"VARCHAR","country":"VARCHAR","period":{"start":"VARCHAR","end":"VARCHAR"}}'
                )
            ),
            lambda address, position: {
                'is_over': coalesce(address.use = 'old', false)
                or coalesce({{ last_day_of('address.period."end"') }} < {{ arrived_on }}, false),
                'has_not_begun': coalesce({{ first_day('address.period."start"') }} > {{ arrived_on }}, false),
                'use_place': coalesce(list_position(['home', '', 'work', 'temp', 'billing'], coalesce(address.use, '')), 6),
                'is_postal': coalesce(address."type" = 'postal', false),
                'age_in_days': coalesce({{ arrived_on }} - {{ first_day('address.period."start"') }}, 1000000),
                'position': position,
                'address': address
            }
        )
    )[1].address
{%- endmacro %}
