/**
 * Ends this process with one line when its Node.js is too old. The first thing that each program
 * and each script runs, so in a language that every Node.js can read: nothing newer than ES5.
 */
'use strict';

/** As "engines" of package.json has it. */
var LEAST = [20, 19];

var now = process.versions.node.split('.').map(Number);
if (now[0] < LEAST[0] || (now[0] === LEAST[0] && now[1] < LEAST[1])) {
  var needed = 'Node.js ' + LEAST.join('.') + ' or newer is needed';
  var seen = process.execPath + ' is ' + process.versions.node;
  var remedy =
    'see https://nodejs.org/en/download, or run: npm install --global --prefix ~/.local node@22' +
    ' (and have ~/.local/bin first on the PATH)';
  process.stderr.write('sluice: ' + needed + ', and ' + seen + '; ' + remedy + '\n');
  process.exit(1);
}
