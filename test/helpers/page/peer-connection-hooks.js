// Changes of peer connections for tests, made around the browser's API so that the Web SDK stays unmodified.
'use strict';

const hooks = {
  /** Port of a relay that receives media instead of the gateway. */
  mediaPort: undefined,
  /** All peer connections of the page, the latest last. */
  connections: [],
};

{
  const Native = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Native {
    constructor(...args) {
      super(...args);
      hooks.connections.push(this);
    }

    setRemoteDescription(description, ...rest) {
      if (!hooks.mediaPort || !description?.sdp) return super.setRemoteDescription(description, ...rest);
      const lines = description.sdp
        .split('\r\n')
        .filter((line) => !/^a=candidate:\S+ \d+ tcp /i.test(line))
        .map((line) => line.replace(/^(a=candidate:\S+ \d+ udp \d+ )\S+ \d+/i, `$1127.0.0.1 ${hooks.mediaPort}`));
      return super.setRemoteDescription({ type: description.type, sdp: lines.join('\r\n') }, ...rest);
    }
  };
}
