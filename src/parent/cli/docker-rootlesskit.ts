import { launchRootlesskit } from '../launcher/rootlesskit.js';
import { report } from './report.js';

launchRootlesskit(process.argv.slice(2)).then(
  (exitCode) => {
    process.exitCode = exitCode;
  },
  (error: unknown) => {
    report(error);
    process.exitCode = 1;
  },
);
