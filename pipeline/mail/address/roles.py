"""Local parts of role accounts, which belong to a function and not to a person (RFC 2142, and common use)."""
# ruff: noqa: SIM905 - a block of words is easier to read and to extend than a list of strings

ROLES = frozenset(
    """
    abuse hostmaster mailer-daemon news noc postmaster root security spam support trouble usenet uucp webmaster www

    accountant accounting accounts accounts-payable accounts-receivable accountspayable accountspayables
    accountsreceivable ads advertising affiliate affiliates all-staff allstaff alerts ap apply api ar assistance
    admin admins administration administrator admissions audit backoffice billing board booking bookings
    business care career careers clients cloud community complaints compliance contact contact-us contactus contracts
    copyright corporate customer customer-care customer-service customercare customers customerservice
    customersupport data dataprotection dev developer developers devnull devops dispatch dmca dns donate donations
    donotreply do-not-reply dpo editor editorial editors email engineering enquire enquiries enquiry errors estimates
    events everyone exec export facilities faq feedback finance frontdesk ftp gdpr general hello help helpdesk hey hi
    hiring hosting hr human-resources humanresources import info infos information infosec inquiries inquiry insurance
    investor investor-relations investorrelations investors invoice invoices invoicing ir it itsupport job jobs
    join legal leads library licensing list list-request login logistics mail mailbox management marketing media
    members membership moderator mkt network newsletter newsletters no-reply noreply notification
    notifications notify nobody office ops operations opt-out optout order orders parts partner partners partnership
    partnerships payable payables payment payments payroll phish phishing photos po policy portal pr press privacy
    procurement production projects proposals public publicrelations purchase purchases purchasing qa quality quote
    quotes rates reception receptionist recruit recruiting recruitment refund refunds registrar registration rentals
    reply reservation reservations resume resumes returns rfp sales salesteam school scheduling secretary service
    services shipping shop socialmedia software spam-report staff stats store studio subscribe subscriptions suggest
    suggestions suppliers support-team sys sysadmin system systems talent team tech technical technology techsupport
    test tester testing tickets ticket trade trademark training transport travel treasurer treasury unsubscribe
    vendor vendors verify volunteer volunteers warehouse warranty web webinar webinars webteam welcome wholesale
    wordpress

    anfrage anfragen anmeldung auftrag ausbildung beratung beschwerde bestellung bestellungen bewerbung bewerbungen
    buchhaltung buchung buero dispo datenschutz disposition einkauf empfang fragen
    geschaeftsfuehrung geschaeftsleitung gf hausverwaltung karriere kasse kommunikation kontakt kunden kundendienst
    kundenservice lager leitung lohn personal personalabteilung poststelle praxis presse produktion rechnung
    rechnungen rechnungswesen redaktion reklamation reservierung sekretariat sonstiges stellen technik
    termin termine veranstaltungen verein verkauf versand vertrieb vertrag verwaltung vorstand werbung werkstatt
    willkommen zentrale

    accueil achat achats adhesion administratif bonjour boutique candidature candidatures clientele commande commandes
    commercial communication compta comptabilite devis direction drh emploi facturation factures formation gestion
    juridique location mairie paie rdv reclamation reclamations recrutement redaction renseignement
    renseignements rh sav secretariat serviceclient service-client siege ventes webmestre

    administracion asesoria atencion atencionalcliente ayuda calidad clientes comercial compras comunicacion
    contabilidad contacto contato cotizaciones direccion empleo facturas gerencia informacion informes
    logistica oficina pagos pedidos prensa presupuestos proveedores recepcion reclamaciones recursoshumanos reservas
    rrhh secretaria soporte taller tesoreria tienda turismo ventas

    assistenza acquisti amministrazione commerciale contabilita contatti direzione fatture fatturazione
    fornitori informazioni lavoro magazzino ordini personale prenotazioni preventivi qualita reclami ricevimento
    segreteria spedizioni ufficio ufficioacquisti ufficiostampa ufficiotecnico vendite

    atendimento cobranca comunicacao curriculo curriculos duvidas faleconosco financeiro fiscal imprensa
    orcamento orcamentos ouvidoria recrutamento sac suporte vagas vendas

    aanmelden aanvraag administratie afspraak bestellingen boekhouding directie facturen factuur inkoop klantenservice
    klacht klachten magazijn offerte offertes onderhoud planning receptie secretariaat sollicitatie vacature vacatures
    verkoop webwinkel winkel

    biuro dzial-handlowy faktury handlowy kadry kariera ksiegowosc oferty praca rekrutacja rezerwacje
    serwis sklep sprzedaz zamowienia zapytania

    asiakaspalvelu bestilling bokning bokforing ekonomi faktura fakturor inkop jobb jobba kansli kundservice
    kundeservice kundtjanst laskut laskutus myynti ordrer post postmottak regnskab regnskap salg salj toimisto
    tilaukset

    bukhgalteria buh dogovor kadr otdelkadrov priemnaya sekretar snab sbyt tender zakaz zakupki

    eigyo jimu jinji kikaku koho madoguchi otoiawase saiyo soumu toiawase
    caiwu kefu renshi xiaoshou zhaopin
    bilgi destek iletisim insankaynaklari muhasebe satis
    """.split()
)  # fmt: skip


def function_of(local_part: str) -> str:
    """A local part without the `+tag` or digits that follow a function's name, in lower case."""
    name = local_part.lower().partition("+")[0].rstrip("0123456789")
    return name[:-1] if name.endswith((".", "_", "-")) else name
