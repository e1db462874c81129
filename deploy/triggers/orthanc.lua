-- Orthanc asks Serinus to read each study that has become stable.
--
-- orthanc.json:  "LuaScripts": ["/etc/orthanc/orthanc.lua"], "HttpTimeout": 5, "StableAge": 60
-- environment:   TRIGGER_URL     https://serinus.example/v1/jobs
--                TRIGGER_KEY     an API key with the scope jobs:write
--                TRIGGER_SOURCE  how Serinus calls this Orthanc (the id of the source)
--
-- It says so of every stable study, also when Serinus has stored its report in it: the same images are read once.
-- Orthanc calls one script after the other and keeps no word that did not arrive; pacs_poller.py does.

local url, key, source = os.getenv('TRIGGER_URL'), os.getenv('TRIGGER_KEY'), os.getenv('TRIGGER_SOURCE')

function OnStableStudy(studyId, tags, metadata)
   local job = { study_uid = tags['StudyInstanceUID'], source = source }
   local headers = { ['Content-Type'] = 'application/json', ['X-API-Key'] = key }
   local sent, answer = pcall(HttpPost, url, DumpJson(job, true), headers)
   if not sent or answer == nil then
      print('serinus: a stable study was not announced')
   end
end
