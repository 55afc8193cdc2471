"""Columns are recognised as the systems call them, then by their cells; a page of profiles is no domain."""

import pytest

from pipeline.errors import UnusableFile
from pipeline.files.columns import recognise

EXPORTS = {
    "HubSpot": ("Record ID,First Name,Last Name,Email,Phone Number,Associated Company,"
                "Company Domain Name",
                "first_name=First Name,last_name=Last Name,email=Email,company=Associated Company,"
                "domain=Company Domain Name"),
    "Salesforce": ("First Name,Last Name,Title,Account Name,Mailing City,Email,Website",
                   "first_name=First Name,last_name=Last Name,company=Account Name,email=Email,domain=Website"),
    "LinkedIn": ("First Name,Last Name,URL,Email Address,Company,Position,Connected On",
                 "first_name=First Name,last_name=Last Name,domain=URL,email=Email Address,company=Company"),
    "Apollo": ("First Name,Last Name,Title,Company,Company Name for Emails,Email,Email Status,Person Linkedin Url,"
               "Website",
               "first_name=First Name,last_name=Last Name,company=Company,email=Email,domain=Website"),
    "Pipedrive": ("Person - Name,Person - Organization,Person - Email - Work,Person - Email - Home,"
                  "Organization - Website",
                  "full_name=Person - Name,company=Person - Organization,email=Person - Email - Work,"
                  "domain=Organization - Website"),
    "Outlook": ("First Name,Middle Name,Last Name,Company,Job Title,Web Page,E-mail Address,E-mail 2 Address",
                "first_name=First Name,last_name=Last Name,company=Company,domain=Web Page,email=E-mail Address"),
    "Google": ("Name,Given Name,Family Name,E-mail 1 - Value,E-mail 2 - Value,Organization 1 - Name,Website 1 - Value",
               "full_name=Name,first_name=Given Name,last_name=Family Name,email=E-mail 1 - Value,"
               "company=Organization 1 - Name,domain=Website 1 - Value"),
    "German": ("Vorname,Nachname,Firma,Webseite,E-Mail-Adresse",
               "first_name=Vorname,last_name=Nachname,company=Firma,domain=Webseite,email=E-Mail-Adresse"),
    "French": ("Prénom,Nom,Société,Site web,Adresse e-mail",
               "first_name=Prénom,last_name=Nom,company=Société,domain=Site web,email=Adresse e-mail"),
    "Spanish": ("Nombre,Apellidos,Empresa,Sitio web,Correo electrónico",
                "first_name=Nombre,last_name=Apellidos,company=Empresa,domain=Sitio web,email=Correo electrónico"),
    "Portuguese": ("Primeiro nome,Sobrenome,Nome da empresa,Domínio da empresa,Endereço de e-mail",
                   "first_name=Primeiro nome,last_name=Sobrenome,company=Nome da empresa,domain=Domínio da empresa,"
                   "email=Endereço de e-mail"),
    "Italian": ("Nome,Cognome,Azienda,Sito web,Indirizzo e-mail",
                "first_name=Nome,last_name=Cognome,company=Azienda,domain=Sito web,email=Indirizzo e-mail"),
    "Dutch": ("Voornaam,Achternaam,Bedrijfsnaam,Domeinnaam,E-mailadres",
              "first_name=Voornaam,last_name=Achternaam,company=Bedrijfsnaam,domain=Domeinnaam,email=E-mailadres"),
    "Polish": ("Imię,Nazwisko,Nazwa firmy,Strona internetowa,Adres e-mail",
               "first_name=Imię,last_name=Nazwisko,company=Nazwa firmy,domain=Strona internetowa,email=Adres e-mail"),
    "snake case": ("first_name,last_name,company,domain,email",
                   "first_name=first_name,last_name=last_name,company=company,domain=domain,email=email"),
    "camel case": ("firstName,lastName,companyName,companyDomain,workEmail",
                   "first_name=firstName,last_name=lastName,company=companyName,domain=companyDomain,email=workEmail"),
}  # fmt: skip


@pytest.mark.parametrize("system", EXPORTS)
def test_headings_are_recognised(system: str) -> None:
    header, wanted = EXPORTS[system]

    described = dict(recognise(header.split(","), []).described())

    assert described == dict(pair.split("=") for pair in wanted.split(","))


def test_profile_pages_are_no_domains() -> None:
    sample = [["Ada", "Example", f"https://www.linkedin.com/in/ada-{n}", "Acme"] for n in range(3)]

    columns = recognise(["First Name", "Last Name", "URL", "Company"], sample)

    assert "domain" not in columns.fields
    assert columns.notices == ["Column URL holds pages of profiles or short links: it is not taken for a domain."]


def test_a_column_is_taken_for_what_its_cells_look_like() -> None:
    sample = [["Ada Example", f"acme{n}.test", "@ada", f"ada{n}@acme.test"] for n in range(3)]

    columns = recognise(["Name", "Homebase", "Handle", "Reach at"], sample)

    assert dict(columns.described()) == {"full_name": "Name", "domain": "Homebase", "email": "Reach at"}


def test_the_users_word_comes_before_headings() -> None:
    columns = recognise(["Name", "Website", "Company Domain Name"], [], {"domain": "website"})

    assert dict(columns.described())["domain"] == "Website"


def test_an_empty_mapping_takes_a_field_from_no_column() -> None:
    columns = recognise(["Name", "Email", "Domain"], [["Ada", "ada@private.test", "a.test"]], {"email": ""})

    assert dict(columns.described()) == {"full_name": "Name", "domain": "Domain"}


def test_a_mapping_to_no_column_names_the_nearest() -> None:
    with pytest.raises(UnusableFile, match=r"no column 'Compny Domain'. Nearest: Company Domain Name"):
        recognise(["Name", "Company Domain Name"], [], {"domain": "Compny Domain"})


def test_of_two_columns_that_mean_the_same_the_filled_one_is_taken() -> None:
    columns = recognise(["Name", "Email", "Email"], [["Ada", "", "ada@a.test"], ["Bo", "", "bo@b.test"]])

    assert columns.fields["email"] == 2


def test_a_name_beside_a_first_name_is_a_family_name() -> None:
    columns = recognise(["Name", "Vorname", "Domain"], [["Müller", "Anna", "a.test"], ["Koch", "Bo", "b.test"]])

    assert dict(columns.described()) == {"last_name": "Name", "first_name": "Vorname", "domain": "Domain"}


@pytest.mark.parametrize("heading", ["Nom", "Nombre", "Nome", "Naam", "Name"])
def test_a_name_alone_is_a_whole_name(heading: str) -> None:
    assert recognise([heading, "Domain"], []).fields["full_name"] == 0


def test_cells_that_say_that_they_are_empty_do_not_speak_against_a_heading() -> None:
    assert recognise(["Name", "Domain"], [["Ada", "-"], ["Bo", "n/a"], ["Cy", "-"]]).fields["domain"] == 1
