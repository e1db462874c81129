"""Orthanc asks Serinus to read each study that has become stable, and again until Serinus has taken it.

orthanc.json:  "Plugins": [".../libOrthancPython.so"], "PythonScript": "/etc/orthanc/orthanc_plugin.py",
               "StableAge": 60
environment:   TRIGGER_URL     https://serinus.example/v1/jobs
               TRIGGER_KEY     an API key with the scope jobs:write
               TRIGGER_SOURCE  how Serinus calls this Orthanc (the id of the source)

It says so of every stable study, also when Serinus has stored its report in it: the same images are read once. What
is not taken when Orthanc ends is forgotten; pacs_poller.py forgets nothing.
"""

import json
import os
import queue
import threading
import urllib.error
import urllib.request

import orthanc

TIMEOUT_S = 5
LONGEST_PAUSE_S = 60
stable: "queue.Queue[tuple[str, int]]" = queue.Queue()


def announce(study_id):
    """Submit the study. Raises OSError when Serinus is away or busy; what it refuses for good is only told."""
    tags = json.loads(orthanc.RestApiGet(f"/studies/{study_id}"))["MainDicomTags"]
    job = {"study_uid": tags["StudyInstanceUID"], "source": os.environ["TRIGGER_SOURCE"]}
    headers = {"Content-Type": "application/json", "X-API-Key": os.environ["TRIGGER_KEY"]}
    request = urllib.request.Request(os.environ["TRIGGER_URL"], json.dumps(job).encode(), headers)
    try:
        urllib.request.urlopen(request, timeout=TIMEOUT_S).close()
    except urllib.error.HTTPError as error:
        if error.code >= 500 or error.code == 429:
            raise
        orthanc.LogWarning(f"serinus refused a study: HTTP {error.code}")


def work():
    """One study after the other; one that is not taken comes again after a pause."""
    while True:
        study_id, attempt = stable.get()
        try:
            announce(study_id)
        except Exception as error:  # Orthanc's own errors are no OSError, and this thread must not end
            orthanc.LogWarning(f"serinus does not take a study: {type(error).__name__}")
            pause_s = min(2**attempt, LONGEST_PAUSE_S)
            threading.Timer(pause_s, stable.put, [(study_id, attempt + 1)]).start()


def on_change(change, level, resource):
    """Orthanc waits for this, so the work is done elsewhere."""
    if change == orthanc.ChangeType.STABLE_STUDY:
        stable.put((resource, 0))


threading.Thread(target=work, daemon=True).start()
orthanc.RegisterOnChangeCallback(on_change)
