import t from 'tap';
import { setStage } from './stage.ts';
import { analyse, recorded, recordingOf } from './recording.ts';
t.setTimeout(100000);
const { gateway, nginx, publisher } = await setStage(t, {settings: { publisher_resume_window_ms: 6000 }});
const page = await publisher({ name: 'lost', source: 'tone', sourceOptions: {width:320,height:180}, rtmpUrl: nginx.rtmpUrl });
await recorded(recordingOf(nginx,'rtmp_lost'), 2000);
await page.close(); console.log(gateway.logs().slice(-1500));
await new Promise(r => setTimeout(r, 2000));
const l = gateway.logs().length;
const p2 = await publisher({ name: 'lost', source: 'tone', sourceOptions: {width:320,height:180}, rtmpUrl: nginx.rtmpUrl });
for (let i = 0; i < 5; i++) {
await new Promise(r => setTimeout(r, 1500));
const r = await analyse(recordingOf(nginx,'rtmp_lost')); console.log(r.audio, r.video, r.levels().map(Math.round).join(), r.decodeErrors);
}
console.log((await gateway.rest('/push/find', {})).text, JSON.stringify(await p2.events()));
console.log(gateway.logs().slice(l).split('\n').filter(x => !x.includes('request')).join('\n'));
await p2.close();
