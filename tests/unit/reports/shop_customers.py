"""Made-up customers of a CRM, some of whom are there twice, as people write themselves twice."""

import random
from collections.abc import Mapping, Sequence

GIVEN = ["Anna", "Bernd", "Carla", "David", "Elif", "Frieda", "Georg", "Hannah", "Igor", "Jana"]
SURNAMES = ["Müller", "Weber", "Öztürk", "Schmidt", "Kowalski", "Nguyen", "Fischer", "Brandt"]
STREETS = ["Hauptstraße", "Ringweg", "Am Markt", "Lindenallee", "Goethestraße", "Kirchgasse"]
CITIES = ["10115", "20095", "50667", "80331", "04109"]
Row = Mapping[str, str]


def customers(count: int, chance: random.Random) -> list[Row]:
    """Nobody is there twice, some have the same name."""
    return [
        {
            "crm_id": f"K{number}",
            "given_name": chance.choice(GIVEN),
            "surname": chance.choice(SURNAMES) + chance.choice(["", "", "-Lang", "mann", "er"]),
            "birth_on": f"{chance.randint(1940, 2005)}-{chance.randint(1, 12):02}"
            f"-{chance.randint(1, 28):02}",
            "street": chance.choice(STREETS),
            "house_number": str(chance.randint(1, 60)),
            "postcode": chance.choice(CITIES),
        }
        for number in range(count)
    ]


def written_again(row: Row, chance: random.Random) -> Row:
    """The same customer, with a slip of the pen in one column and nothing in another."""
    column, empty = chance.sample(["given_name", "surname", "birth_on", "street", "postcode"], 2)
    at = chance.randrange(len(row[column]) - 1)
    slip = row[column][:at] + row[column][at + 1] + row[column][at] + row[column][at + 2 :]
    if column == "birth_on":
        slip = row[column][:-1] + str((int(row[column][-1]) + 1) % 10)
    return {**row, "crm_id": f"{row['crm_id']}-again", column: slip, empty: ""}


def written(rows: Sequence[Row], consent: str = "yes") -> bytes:
    """The file of these."""
    head = list(rows[0])
    lines = [",".join([*head, "consent"])]
    lines += [",".join([*(row[column] for column in head), consent]) for row in rows]
    return ("\n".join(lines) + "\n").encode()
