'use strict';

require('./launcher.cjs').run('main');
