import { BenchProcess } from './child-process.ts';
import type { PublisherRequests } from './publishers-main.ts';
import type { SinkRequests } from './sink-main.ts';
import { startGateway } from '../helpers/gateway.ts';
import { gatewayGroups, processorLoad, processorMs } from './measure.ts';
const N=Number(process.argv[2]??1), S=Number(process.argv[3]??8);
if(process.env.PROF){process.env.NODE_OPTIONS=process.env.PROF!=='1'?process.env.PROF:'--cpu-prof --cpu-prof-interval 200 --cpu-prof-dir=/tmp/prof'}
const gw = await startGateway({ log_level:'info', ...(process.argv[4]?{push_engine:process.argv[4]}:{}) });
delete process.env.NODE_OPTIONS;
const pub = await BenchProcess.start<PublisherRequests>('./publishers-main.ts',['2000']);
const sink = await BenchProcess.start<SinkRequests>('./sink-main.ts');
const port = await sink.ask('listen',0);
for(let i=0;i<N;i++) await pub.ask('publish',{name:'s'+i,url:gw.wsUrl,rtmpUrl:`rtmp://127.0.0.1:${port}/live`});
await new Promise(r=>setTimeout(r,Number(process.env.WARM??4000)));
await sink.ask('reset');
const g=gatewayGroups(gw.pid);
const l=await processorLoad({...g,publishers:[pub.pid],sink:[sink.pid]},S);
console.log(l);
for(const s of await sink.ask('streams')){ const a=s.latencies.sort((x,y)=>x-y); console.log(s.name,s.pictures,s.sounds,s.bytes*8/S/1000,'kbps gaps',s.longestPictureGap,s.longestSoundGap,'lat',a[a.length>>1],a[Math.floor(a.length*.95)],a.at(-1)); }
await pub.stop(); await sink.stop(); await gw.stop();
