setInterval(() => postMessage(''), 1000 / 30);
