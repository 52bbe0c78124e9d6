"""Makes django-sqlite.sql and django-postgres.sql with the real Django.

    pip install 'Django==5.2.*' argon2-cffi bcrypt 'psycopg[binary]'
    python make-django-databases.py postgres://USER@HOST:PORT/NAME

The PostgreSQL database must be empty; pg_dump must be installed. The passwords are "correct horse 7",
hashed by each of Django's hashers with its own cost.
"""

import datetime
import pathlib
import re
import sqlite3
import subprocess
import sys

import django
from django.conf import settings

folder = pathlib.Path(__file__).parent
url = sys.argv[1]
user, host, port, name = re.fullmatch(r"postgres://(.*)@(.*):(.*)/(.*)", url).groups()
sqlite = folder / "django.sqlite3"
hashers = "django.contrib.auth.hashers."
names = ["PBKDF2PasswordHasher", "PBKDF2SHA1PasswordHasher", "Argon2PasswordHasher", "ScryptPasswordHasher",
         "BCryptSHA256PasswordHasher", "BCryptPasswordHasher", "MD5PasswordHasher"]
settings.configure(
    USE_TZ=True,
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes"],
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    PASSWORD_HASHERS=[hashers + name for name in names],
    DATABASES={
        "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": sqlite},
        "postgres": {"ENGINE": "django.db.backends.postgresql", "USER": user, "HOST": host, "PORT": port, "NAME": name},
    },
)
django.setup()

from django.contrib.auth.hashers import get_hasher, make_password  # noqa: E402
from django.contrib.auth.models import User  # noqa: E402
from django.core.management import call_command  # noqa: E402

joined = datetime.datetime(2019, 5, 4, 10, 20, 30, 123456, tzinfo=datetime.timezone.utc)
rows = []
for hasher in names:
    algorithm = get_hasher(getattr(__import__("django.contrib.auth.hashers", fromlist=[hasher]), hasher).algorithm).algorithm
    rows.append((algorithm.replace("_", "-"), {"password": make_password("correct horse 7", hasher=algorithm)}))
pbkdf2 = rows[0][1]["password"]
rows += [
    ("unusable", {"password": make_password(None)}),
    ("empty", {"password": ""}),
    ("inactive", {"password": pbkdf2, "is_active": False}),
    ("Admin", {"password": pbkdf2, "is_superuser": True, "is_staff": True}),
    ("no-address", {"password": pbkdf2, "email": ""}),
    ("doubled", {"password": pbkdf2, "email": "ADMIN@example.test"}),
    ("plus+sign@example.test", {"password": pbkdf2, "email": "plus@example.test"}),
    ("costly", {"password": pbkdf2.replace("$1000000$", "$2000000000$")}),
]
for database in ["default", "postgres"]:
    call_command("migrate", database=database, verbosity=0)
    for username, values in rows:
        values = {"email": f"{username.lower()}@example.test", "date_joined": joined, **values}
        User.objects.using(database).create(username=username, **values)

lines = list(sqlite3.connect(sqlite).iterdump())
kept = [line for line in lines if "auth_user" in line and "group" not in line and "permission" not in line]
(folder / "django-sqlite.sql").write_text("\n".join(kept) + "\n")
sqlite.unlink()
dump = subprocess.run(["pg_dump", "--inserts", "--no-owner", "--table=auth_user", url], check=True, capture_output=True, text=True)
kept = [line for line in dump.stdout.splitlines() if line and not line.startswith(("--", "SET ", "SELECT ", "\\"))]
(folder / "django-postgres.sql").write_text("\n".join(kept).replace("public.", "") + "\n")
