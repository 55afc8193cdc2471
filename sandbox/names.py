"""Names of invented people: common first names, and family names composed of syllables."""
# ruff: noqa: SIM905 - a block of words is easier to read and to extend than a list of strings

import random

FIRST_NAMES = tuple(
    """
    Ada Adam Adele Agnes Aisha Alan Alba Alberto Aleksander Alice Alma Amara Amir Ana Anders Andrea Anil
    Anita Anna Antonio Anya Ariel Arjun Arthur Astrid Aurora Beatrice Ben Bianca Boris Bruno Camila Carla
    Carlos Carmen Cecilia Celine Chiara Chloe Clara Claudia Conrad Dalia Daniel Dario David Deborah Diana
    Diego Dmitri Dora Edith Eduardo Elena Elias Elif Elisa Emil Emma Enrico Erik Esther Eva Fabian Farah
    Fatima Felix Fernando Filip Fiona Flora Frank Frida Gabriel Gemma George Gita Giulia Gloria Gordon
    Grace Greta Gustav Hana Hanna Harriet Hassan Hector Helen Henrik Hilda Hiro Hugo Ian Ibrahim Ida Igor
    Ilse Ines Ingrid Irene Iris Isaac Ivan Jacob Jana Jasmin Javier Jelena Joan Johan Jonas Jorge Judith
    Julia Kai Kamal Karen Karim Karl Katarina Kavya Keiko Kenji Kerstin Kevin Klara Kurt Lara Laszlo Laura
    Layla Lea Leo Leila Lena Liam Lina Linda Lorenzo Lotte Lucas Lucia Luis Lydia Magnus Maja Malik Manuel
    Mara Marco Margot Maria Marek Martha Martin Matteo Maya Mei Mercedes Milan Mina Mira Mohan Mona Monica
    Nadia Naomi Natalia Nadine Nils Nina Noah Nora Octavia Olga Oliver Omar Oscar Paolo Patricia Paul
    Pavel Pedro Petra Philip Pia Priya Quentin Rafael Rahul Ravi Rebecca Regina Renata Rita Robert Rosa
    Ruben Ruth Sakura Salma Samuel Sandra Sara Selma Sergio Silvia Simon Sofia Stefan Stella Sunita
    Svetlana Tamara Tariq Teresa Theo Thomas Tilda Tobias Ulrika Umar Ursula Valentin Vera Victor Vikram
    Viola Wanda Werner Willem Xavier Yara Yasmin Yuki Yusuf Zara Zoe
    """.split()
)
ACCENTED_FIRST_NAMES = tuple(
    "André Begüm Chloé Clément Françoise Gisèle Inés Jérôme Joaquín José Léa Martín Renée Sofía Zoë".split()
)
DOUBLE_FIRST_NAMES = tuple("Anna-Lena Eva-Maria Hans-Peter Jean-Luc Karl-Heinz Marie-Claire Mei-Ling".split())

SURNAME_BEGINNINGS = tuple(
    """
    Alder Ash Bal Barn Bell Birk Bran Brook Cald Carm Castel Chand Cor Dal Dun East Eber Elm Fair Falk
    Fern Finn Frost Gar Glen Gold Gran Green Gren Hag Hald Hart Haw Heller Hol Iver Jan Kal Karl Kern Kirk
    Kov Lang Lark Lind Lor Lund Mal Mar Mel Mir Mont Mor Nav Nor Oak Oster Pal Pet Quill Rad Rav Red Rom
    Ross Sal Sand Sav Silver Sol Stan Stein Stern Sun Tal Thorn Tor Ul Val Var Ver Vol Wald Wall West
    White Wil Win Wolf Yar Zan Zel
    """.split()
)
SURNAME_ENDINGS = tuple(
    """
    ander berg born brook burg by combe court dahl dale ell elli en enko ert escu etti ez feld field ford
    gate gren ham hart haus hill holm hurst ian ic ini ington ison kin land ler ley low lund man mann mark
    mayer mere mont moor more ner nes ney oglu one ova owski quist ridge rup sen shaw ski son sted stein
    stone strom thal ton vale velli vik ville ward way well wick win wood worth
    """.split()
)
ACCENTED_SURNAMES = tuple(
    """
    Almeída Bélanger Boröcz Castaño Côté Dvořák Estévez Faltýnek Gonçales Hernádez Ibáñes Jiménel Köster
    Lefèvre Marić Müllner Nuñel Ortíz Péron Quiñoz Rodríguel Sánchel Šimánek Tóthy Ürgen Váczi Wójczak
    Zúñel
    """.split()
)
APOSTROPHE_SURNAMES = tuple("O'Branagh O'Dunley O'Mirren D'Alessa D'Ombrel Dell'Orta L'Estray N'Dombe".split())
PARTICLES = ("van der", "van", "de", "da", "von", "del", "di", "la", "le", "ten")

Name = tuple[str, str]


def draw_plain_name(rng: random.Random) -> Name:
    """Draw a first and a family name in plain ASCII letters, which have one spelling in an address."""
    return rng.choice(FIRST_NAMES), rng.choice(SURNAME_BEGINNINGS) + rng.choice(SURNAME_ENDINGS)


def draw_name(rng: random.Random) -> Name:
    """Draw a first and a family name; one in eight has an accent, an apostrophe, a hyphen or a particle."""
    first, last = draw_plain_name(rng)
    kind = rng.random()
    if kind < 0.03:
        return rng.choice(ACCENTED_FIRST_NAMES), last
    if kind < 0.04:
        return rng.choice(DOUBLE_FIRST_NAMES), last
    if kind < 0.08:
        return first, rng.choice(ACCENTED_SURNAMES)
    if kind < 0.09:
        return first, rng.choice(APOSTROPHE_SURNAMES)
    if kind < 0.11:
        return first, f"{rng.choice(PARTICLES)} {last}"
    if kind < 0.125:
        return first, f"{last}-{draw_plain_name(rng)[1]}"
    return first, last
