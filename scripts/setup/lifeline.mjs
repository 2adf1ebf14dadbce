// Preloaded by run-node.mjs: sends SIGTERM to this process when its parent process has ended.
if (process.channel) {
  process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'));
  // The listener alone must not keep the process alive.
  process.channel.unref();
  // Forked processes would inherit these options, but their channels serve other purposes.
  process.execArgv.splice(0, process.execArgv.length, ...withoutLifeline(process.execArgv));
}

function withoutLifeline(options) {
  return options.filter((option, index) => option !== import.meta.url && options[index + 1] !== import.meta.url);
}
