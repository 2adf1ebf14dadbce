/** The SDP fragments of trickle ICE, for doors that negotiate over HTTP. */
export { parseIceFragment, type IceFragment } from '../webrtc/sdp-fragment.ts';
