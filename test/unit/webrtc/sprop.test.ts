import t from 'tap';
import { parameterSetsOf } from '../../../src/webrtc/sprop.ts';
import { H264_PARAMETER_SETS } from '../../helpers/fake-publisher.ts';

const [sps, pps] = H264_PARAMETER_SETS as [Buffer, Buffer];
const read = (sprop: unknown) =>
  parameterSetsOf({
    codecs: [
      { mimeType: 'video/H264', payloadType: 96, clockRate: 90_000, parameters: { 'sprop-parameter-sets': sprop } },
    ],
  }).of(undefined);

t.test('parameter sets of the SDP', async (t) => {
  const [spsText, ppsText] = [sps.toString('base64'), pps.toString('base64')];
  t.same(read(`${spsText},${ppsText}`), { sps, pps: [pps] });
  t.same(read(`${ppsText}, ${spsText},${ppsText}`), { sps, pps: [pps] }, 'in any order, twice');
  t.same(read(`!!!,${spsText},AAAA,,${ppsText},Z0IA`), { sps, pps: [pps] }, 'between malformed ones');
});

t.test('no parameter sets, and malformed ones', async (t) => {
  for (const sprop of [undefined, 7, '', ',', '%%', sps.toString('base64'), 'Z'.repeat(5000)])
    t.equal(read(sprop), undefined, String(sprop).slice(0, 20));
  t.equal(parameterSetsOf({ codecs: [] }).isUsable, false);
});
