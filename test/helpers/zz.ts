import t from 'tap';
import { setStage } from './stage.ts';
import { analyse, recorded, recordedUntil, recordingOf } from './recording.ts';
import { waitFor } from './wait.ts';
t.setTimeout(100000);
const { gateway, nginx, publisher } = await setStage(t, {settings: { publisher_resume_window_ms: 6000 }});
const page = await publisher({ name: 'lost', source: 'tone', sourceOptions: {width:320,height:180} });
const {mediaSessionId} = await gateway.startPush({ streamName: 'lost', rtmpUrl: nginx.rtmpUrl });
const file = recordingOf(nginx,'rtmp_lost');
await recorded(file, 1500);
await page.close(); 
const left = await recordedUntil(file); console.log(left);
const l = gateway.logs().length;
await waitFor('silence', async () => (await recordedUntil(file)).audio > left.audio + 1500);
console.log('silence', await recordedUntil(file));
const p2 = await publisher({ name: 'lost', source: 'tone', sourceOptions: {width:320,height:180} });
console.log('back', await recordedUntil(file));
for (let i = 0; i < 5; i++) {
await new Promise(r => setTimeout(r, 1500));
console.log(await recordedUntil(file), JSON.stringify(await gateway.transponder(mediaSessionId)), await p2.page.evaluate(`(async () => [...(await hooks.connections.at(-1).getStats()).values()].filter(x => x.type === 'outbound-rtp').map(x => [x.kind, x.framesEncoded, x.bytesSent, x.framesSent, x.qualityLimitationReason]))()`));
}
console.log(gateway.logs().slice(l).split('\n').filter(x => !x.includes('"request"')).join('\n'));
await p2.close();
process.exit();
