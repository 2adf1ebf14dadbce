// Preloaded by run-node.mjs: ends this process in good order when the one that started it is gone.
if (process.channel) {
  process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'));
  // Listening alone must not keep a process alive that has nothing else to do.
  process.channel.unref();
  // Processes that this one forks get the same options, but their channels serve other purposes.
  process.execArgv.splice(0, process.execArgv.length, ...withoutLifeline(process.execArgv));
}

function withoutLifeline(options) {
  return options.filter((option, index) => option !== import.meta.url && options[index + 1] !== import.meta.url);
}
