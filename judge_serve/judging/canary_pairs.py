"""The canaries' texts: twenty queries with documents, written for this, from useless to exact, in six languages."""

from __future__ import annotations

CANARY_PAIRS: tuple[tuple[str, str], ...] = (
    (
        "how to descale a kettle",
        "Fill the kettle with equal parts of water and white vinegar, boil it, leave it for an hour, then rinse twice.",
    ),
    ("how to descale a kettle", "Our electric kettles come in red, black and steel and hold one and a half litres."),
    ("capital of australia", "Canberra has been the seat of the Australian parliament since 1927."),
    ("capital of australia", "Sydney is the largest city of Australia and known for its harbour bridge."),
    ("capital of australia", "Whisk the eggs until they are pale, then fold in the sugar."),
    (
        "python sort a list of dicts by key",
        "Use sorted(rows, key=lambda row: row['name']); add reverse=True for descending order.",
    ),
    (
        "python sort a list of dicts by key",
        "A dictionary maps keys to values. Since version 3.7 it keeps the order in which keys were added.",
    ),
    ("symptoms of iron deficiency", "Common signs are tiredness, pale skin, brittle nails and shortness of breath."),
    ("symptoms of iron deficiency", "Iron ore is smelted in blast furnaces together with coke and limestone."),
    ("train from lyon to turin", "Direct trains between Lyon and Turin take about four hours; there are three a day."),
    ("train from lyon to turin", "Turin is the capital of Piedmont, known for chocolate and its museum of cinema."),
    (
        "Wie lange muss ein weiches Ei kochen?",
        "Ein weiches Ei braucht im kochenden Wasser vier bis fünf Minuten.",
    ),
    ("Wie lange muss ein weiches Ei kochen?", "Hühner legen je nach Rasse zwischen 150 und 300 Eier im Jahr."),
    (
        "cómo cambiar una rueda pinchada",
        "Afloje las tuercas, levante el coche con el gato, retire la rueda, monte la de repuesto y apriete en cruz.",
    ),
    ("cómo cambiar una rueda pinchada", "La rueda se inventó hace más de cinco mil años en Mesopotamia."),
    (
        "résilier un abonnement téléphonique",
        "Certains opérateurs demandent un préavis de dix jours ; la marche à suivre dépend du contrat signé.",
    ),
    ("東京の人口は何人ですか", "東京都の人口は約千四百万人で、日本の都道府県の中で最も多い。"),
    ("東京の人口は何人ですか", "東京には多くの美術館や公園があり、春には桜の名所が賑わう。"),
    (
        "refund for a delayed flight",
        "Passengers may be owed money back in some cases; what applies depends on the airline and the route.",
    ),
    (
        "как сварить рис, чтобы он не слипался",
        "Рис выращивают на полях, залитых водой; урожай собирают осенью.",
    ),
)
