"""Hosts where people and companies have pages or links, whoever runs them: they are nobody's employer.

Mail to these domains reaches the host's own staff, or nobody: a contact whose "website" is such a page is not looked up
there.
"""
# ruff: noqa: SIM905 - a block of words is easier to read and to extend than a list of strings

_PROFILES = frozenset(
    """
    linkedin.com lnkd.in xing.com facebook.com fb.com fb.me m.me messenger.com instagram.com instagr.am threads.net
    twitter.com x.com t.co tiktok.com youtube.com youtu.be vimeo.com pinterest.com pin.it snapchat.com reddit.com
    tumblr.com vk.com ok.ru weibo.com wechat.com line.me t.me telegram.me wa.me whatsapp.com discord.gg discord.com
    skype.com twitch.tv quora.com medium.com substack.com github.com gitlab.com bitbucket.org behance.net dribbble.com
    deviantart.com soundcloud.com spotify.com mastodon.social bsky.app viadeo.com crunchbase.com angel.co wellfound.com
    glassdoor.com indeed.com yelp.com tripadvisor.com trustpilot.com g2.com clutch.co upwork.com fiverr.com
    freelancer.com meetup.com eventbrite.com about.me gravatar.com researchgate.net academia.edu orcid.org
    stackoverflow.com producthunt.com patreon.com etsy.com ebay.com imdb.com wikipedia.org apollo.io zoominfo.com
    rocketreach.co kununu.com
    """.split()
)
_SHORT_LINKS = frozenset(
    """
    bit.ly bitly.com goo.gl g.co g.page maps.app.goo.gl tinyurl.com ow.ly buff.ly is.gd v.gd cutt.ly rb.gy rebrand.ly
    shorturl.at short.io tiny.cc t.ly s.id lnk.to hubs.ly hubs.la linktr.ee lnk.bio beacons.ai bio.link campsite.bio
    carrd.co taplink.cc calendly.com forms.gle maps.google.com
    """.split()
)
_PAGES = frozenset(
    """
    sites.google.com docs.google.com drive.google.com forms.office.com business.site wixsite.com wordpress.com
    blogspot.com blogger.com weebly.com webnode.page jimdosite.com jimdofree.com godaddysites.com strikingly.com
    mystrikingly.com site123.me yolasite.com square.site ueniweb.com over-blog.com myshopify.com mystore.no
    webflow.io framer.website framer.app notion.site gitbook.io github.io gitlab.io pages.dev netlify.app
    vercel.app herokuapp.com web.app firebaseapp.com azurewebsites.net amplifyapp.com onrender.com fly.dev surge.sh
    """.split()
)
"""Hosts where customers have their sites, as a name below or a path: nobody but the host's owner has mail there."""
SHARED_HOSTS = _PROFILES | _SHORT_LINKS | _PAGES


def is_shared_host(domain: str) -> bool:
    """Whether a domain, or one above it, hosts everybody's profiles or short links."""
    name = domain
    while "." in name:
        if name in SHARED_HOSTS:
            return True
        name = name.partition(".")[2]
    return False
